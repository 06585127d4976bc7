//! Agents come, go and come back.
