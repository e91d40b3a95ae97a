"""First stages, which infer P(O): heads, assignment, coding, and the dense skeleton."""
