package memory

import "slices"

// DecodeFull reads a whole record as import and the original's sync/push carry it (contract 1.1): everything but metadata and the two
// optional timestamps is required, the id is the caller's and kept verbatim, and the timestamps are its user data.
func DecodeFull(data []byte) (Memory, error) {
	var m Memory
	have := 0
	const hasID, hasCount = hasAll + 1, (hasAll + 1) << 1
	err := eachMember(data, "body", func(name string, v []byte) (err error) {
		if isNull(v) && (name == "expires_at" || name == "last_accessed_at" || name == "metadata") {
			return nil
		}
		bit := 0
		switch name {
		case "id":
			bit = hasID
			m.ID, err = stringField(name, v)
		case "access_count":
			bit = hasCount
			m.AccessCount, err = integerField(name, v)
		case "last_accessed_at":
			m.LastAccessedAt, err = timeField(name, v)
		case "metadata":
			m.Metadata, err = metadataField(v)
		default:
			if m.isStored(name) {
				bit, err = m.storedField(name, v, true)
			} else {
				err = addExtra(&m.Extra, name, v)
			}
		}
		have |= bit
		return err
	})
	if err != nil {
		return Memory{}, err
	}
	if missing := (hasAll | hasID | hasCount) &^ hasMetadata &^ have; missing != 0 {
		return Memory{}, fieldErrorf(firstMissing(missing), "is required")
	}
	if err := ValidateID(m.ID); err != nil {
		return Memory{}, err
	}
	if m.AccessCount < 0 {
		return Memory{}, fieldErrorf("access_count", "must not be negative")
	}
	m.AccessCount = min(m.AccessCount, MaxAccessCount)
	if err := m.check(); err != nil {
		return Memory{}, err
	}
	if err := settleExtra(m.Extra); err != nil {
		return Memory{}, err
	}
	return m, m.checkSize()
}

var memberNames = [...]string{
	"tier", "namespace", "title", "content", "tags", "priority", "confidence", "source", "created_at", "updated_at", "metadata", "id",
	"access_count",
}

func firstMissing(bits int) string {
	for i, name := range memberNames {
		if bits&(1<<i) != 0 {
			return name
		}
	}
	return "body"
}

func (m *Memory) isStored(name string) bool {
	if name == "expires_at" {
		return true
	}
	return slices.Contains(memberNames[:11], name)
}
