mod inputs;
mod layers;
mod operations;
mod overrides;
mod passwords;
mod plans;
mod walk;
mod world;
