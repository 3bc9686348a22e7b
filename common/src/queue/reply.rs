//! A script's answer, taken apart word by word.

use std::vec;

use redis::{FromRedisValue, Value, from_redis_value};

use super::error::QueueError;

/// What a script returned: an array whose first element usually says what happened.
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

    /// The next element.
    pub(super) fn take<T: FromRedisValue>(&mut self) -> Result<T, QueueError> {
        let value = self
            .values
            .next()
            .ok_or_else(|| self.problem("it ends early"))?;
        from_redis_value(value).map_err(|error| self.problem(error.to_string()))
    }

    /// The next element, which says what happened.
    pub(super) fn word(&mut self) -> Result<String, QueueError> {
        self.take()
    }

    /// The next element, an array.
    pub(super) fn nested(&mut self) -> Result<Self, QueueError> {
        Ok(Self::new(self.request, self.take()?))
    }

    /// All further elements.
    pub(super) fn rest<T: FromRedisValue>(mut self) -> Result<Vec<T>, QueueError> {
        (0..self.values.len()).map(|_| self.take()).collect()
    }

    /// An answer that no script gives.
    pub(super) fn unknown(&self, word: &str) -> QueueError {
        self.problem(format!("unknown word {word:?}"))
    }

    /// An answer with something wrong.
    pub(super) fn problem(&self, problem: impl Into<String>) -> QueueError {
        QueueError::Answer {
            request: self.request,
            problem: problem.into(),
        }
    }
}
