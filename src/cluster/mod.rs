//! Several nodes, one Redis: what is published on one reaches the browsers of all.
