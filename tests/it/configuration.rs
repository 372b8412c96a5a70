//! The configuration: all faults at once, no secret echoed, and a reference that is as long as the code's.
