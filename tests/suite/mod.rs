mod inputs;
mod layers;
mod operations;
mod oracle;
mod overrides;
mod plans;
mod walk;
mod world;
