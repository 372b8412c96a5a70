//! The questions that flows ask the outside. A method is one atomic business fact.
