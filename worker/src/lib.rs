//! The worker: chooses sigma, draws noise, counts classes.
