// Package report shows the result of a load to people: as text, and as one HTML page that needs nothing else.
package report
