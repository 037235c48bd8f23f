module parley.interop

go 1.19
