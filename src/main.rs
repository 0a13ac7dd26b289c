//! The `kolla` command; everything it does is in the library.

fn main() -> std::process::ExitCode {
    kolla::cli::main()
}
