//! Keeps the page's download small.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if std::env::var("CARGO_CFG_TARGET_ARCH").is_ok_and(|arch| arch == "wasm32") {
        // Function names make up a third of the file. A panic still tells its file and line. Cargo's
        // own `strip` would also drop the list of features, from which wasm-bindgen learns what
        // the code may use.
        println!("cargo::rustc-link-arg-cdylib=--strip-all");
        println!("cargo::rustc-link-arg-cdylib=--keep-section=target_features");
    }
}
