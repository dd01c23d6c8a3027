//! How what is cached, and what the configuration says of it, is put to the proof.

mod testing;
mod verify;

pub use testing::{
    FieldExpectation, PurgeWord, Test, TestAction, TestAnswer, TestContent, TestEvent, TestExpectations, TestFailure, TestFile,
    TestRequest, TestResult, TestStep,
};
pub use verify::{OnLeak, Verify, VerifyMode};
