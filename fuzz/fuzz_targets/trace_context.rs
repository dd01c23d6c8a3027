#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| larder_fuzz::telemetry::trace_context(data));
