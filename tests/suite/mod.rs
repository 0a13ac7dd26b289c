mod layers;
mod operations;
mod walk;
mod world;
