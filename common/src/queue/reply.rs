//! The reply of a script, read element by element.

use std::vec;

use redis::{FromRedisValue, Value, from_redis_value};

use super::error::QueueError;

/// The reply of a script: an array whose first element is usually a word that names the result.
pub(super) struct Reply {
    request: &'static str,
    values: vec::IntoIter<Value>,
}

impl Reply {
    pub(super) fn new(request: &'static str, values: Vec<Value>) -> Self {
        Self {
            request,
            values: values.into_iter(),
        }
    }

    /// Returns the next element.
    pub(super) fn take<T: FromRedisValue>(&mut self) -> Result<T, QueueError> {
        let value = self
            .values
            .next()
            .ok_or_else(|| self.problem("it ends early"))?;
        from_redis_value(value).map_err(|error| self.problem(error.to_string()))
    }

    /// Returns the next element, a word that names the result.
    pub(super) fn word(&mut self) -> Result<String, QueueError> {
        self.take()
    }

    /// Returns the next element, an array.
    pub(super) fn nested(&mut self) -> Result<Self, QueueError> {
        Ok(Self::new(self.request, self.take()?))
    }

    /// Returns all further elements.
    pub(super) fn rest<T: FromRedisValue>(mut self) -> Result<Vec<T>, QueueError> {
        (0..self.values.len()).map(|_| self.take()).collect()
    }

    /// The error for a word that no script returns.
    pub(super) fn unknown(&self, word: &str) -> QueueError {
        self.problem(format!("unknown word {word:?}"))
    }

    /// The error for a reply with this problem.
    pub(super) fn problem(&self, problem: impl Into<String>) -> QueueError {
        QueueError::Answer {
            request: self.request,
            problem: problem.into(),
        }
    }
}
