module skiff.test/driver

go 1.25
