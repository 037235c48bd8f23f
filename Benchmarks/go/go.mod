module parley.benchmarks

go 1.19

require parley.interop v0.0.0

// The reference as the interop tests have it.
replace parley.interop => ../../Tests/Interop/go
