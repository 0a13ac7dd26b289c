//! The `kolla` command; everything it does is in the library.

/// A plan is millions of small values: with the allocator of the C library it takes a sixth longer.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    kolla::cli::main()
}
