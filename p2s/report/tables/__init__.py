"""Tables: what records say, as data frames; a module a kind of experiment."""
