//! Walks a plan over connected hosts: limits, failure, interruption, events. Knows no operation by name.

pub mod event;
