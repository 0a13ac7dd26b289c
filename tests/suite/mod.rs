mod inputs;
mod inventory;
mod layers;
mod operations;
mod overrides;
mod plans;
mod walk;
mod world;
