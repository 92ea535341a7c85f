// What the live view does.
