//! Real clients, JVM peers, golden files and differential tests.
