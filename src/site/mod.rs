//! What the operator wrote: inventory, globals.yml, passwords.yml, overrides, `-e`. Immutable once loaded.
