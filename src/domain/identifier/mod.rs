//! Canonical forms of everything that identifies a person: one parser a kind, one form for storing and comparing.
