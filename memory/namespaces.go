package memory

// Belonging says where a document belongs: whoever may not see all of it may not see the
// document. The zero value is nowhere: only who may see everything sees it, as with kinds
// that this version does not know.
type Belonging struct {
	Everybody  bool     // is about no namespace and may be seen by all
	Namespaces []string // all of them
	Memories   []Key    // belongs where they do, if they are there
}

// BelongingOf reads it from a document.
func BelongingOf(key Key, value []byte) (Belonging, error) {
	switch key.Kind() {
	case KindMember, KindAgent:
		return Belonging{Everybody: true}, nil
	case KindStandard:
		s, err := DecodeStandard(value)
		return Belonging{Namespaces: []string{s.Namespace}}, err
	case KindMemory:
		m, err := DecodeMemory(key, value)
		return Belonging{Namespaces: []string{m.Namespace}}, err
	case KindArchive:
		a, err := DecodeArchived(value)
		if err != nil {
			return Belonging{}, err
		}
		m, err := a.Memory(key)
		return Belonging{Namespaces: []string{m.Namespace}}, err
	case KindLink:
		l, err := DecodeLink(key, value)
		return Belonging{Memories: []Key{l.Source(), l.Target()}}, err
	default:
		return Belonging{}, nil
	}
}
