package memory

import (
	"bytes"
	"time"
)

// ExpiredValue is Memory.Expired for a stored value, which it decodes only if a look at
// its bytes cannot rule it out: it is asked for every read.
func ExpiredValue(key Key, value []byte, now time.Time) bool {
	const member = `"expires_at"`
	for rest := value; ; {
		i := bytes.Index(rest, []byte(member)) // in a string its quotes are escaped
		if i < 0 {
			return false
		}
		rest = rest[i+len(member):]
		end := -1
		if bytes.HasPrefix(rest, []byte(`:"`)) {
			end = bytes.IndexByte(rest[2:], '"')
		}
		if end >= 0 {
			if at, err := ParseTime(string(rest[2 : 2+end])); err == nil && at.After(now) {
				rest = rest[2+end:]
				continue // this one, wherever it stands, is no reason
			}
		}
		m, err := DecodeMemory(key, value)
		return err == nil && m.Expired(now)
	}
}
