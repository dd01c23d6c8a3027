//! Models of purging: whatever the order of events, nobody is given data that an acknowledged purge said was old. The history of every run is
//! judged, not the mechanism.

mod keys;
mod replicas;
mod restarts;
