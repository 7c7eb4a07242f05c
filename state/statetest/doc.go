// Package statetest helps tests of packages that use state: a store in a
// temporary directory, a map that reads and writes like one, and a plan that
// makes chosen writes of the database fail.
package statetest
