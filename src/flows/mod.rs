//! The order of steps, one file per story.
