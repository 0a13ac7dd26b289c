mod inputs;
mod layers;
mod operations;
mod plans;
mod walk;
mod world;
