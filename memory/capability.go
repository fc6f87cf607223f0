package memory

// CapabilitySchema reads the name of a schema of the capabilities document: v1, v2 or v3.
func CapabilitySchema(s string) (schema int, ok bool) {
	switch s {
	case "v1":
		return 1, true
	case "v2":
		return 2, true
	case "v3":
		return 3, true
	}
	return 0, false
}
