package memory

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/memd/memd/clock"
)

var writeCorpus = flag.Bool("write-corpus", false, "write the seed corpora of the fuzz targets")

// seeds are the inputs that the fuzz targets start from.
func seeds() map[string][][]byte {
	x, y, gone := versionOf(dot(1, 1)), versionOf(dot(2, 2)), versionOf(dot(3, 3))
	newer := x
	newer.Ext, newer.sum = protowire.AppendVarint(protowire.AppendTag(nil, 7, protowire.VarintType), 9), Hash{}
	member := Member{Name: "n1", HTTP: "a:1", Gossip: "a:2"}
	records := [][]byte{
		Record{Key: testKey}.Append(nil),
		Record{Key: testKey, Versions: []Version{x}}.Append(nil),
		Record{Key: testKey, Versions: []Version{x, y, gone}, Context: clock.Of(dot(1, 9), dot(2, 7), dot(2, 8))}.Append(nil),
		Record{
			Key: testKey, Versions: []Version{y}, Lost: []Lost{{Dot: dot(1, 1), Stamp: 5, Agent: "a"}},
			Idems: []IdemMark{{Dot: dot(1, 1), Idem: HashOf("k")}},
		}.Append(nil),
		Record{Key: testKey, Versions: []Version{newer}, Ext: wrap(9, []byte("new"))}.Append(nil),
		Record{Key: member.Key(), Versions: []Version{{Dot: dot(1, 1), Stamp: 1, Value: member.Encode()}}}.Append(nil),
		Record{Key: NewKey(99, "x"), Versions: []Version{{Dot: dot(1, 1), Stamp: 1, Value: []byte{0}}}}.Append(nil),
	}
	drafts := [][]byte{
		benchBody, []byte("{" + minimal + "}"), []byte(body(`"a":1,"a":1`)), []byte(body(`"Title":1`)), []byte(body(`"x":"\ud800"`)), []byte(body("\"x\":\"\xff\"")),
		[]byte(body(`"priority":1e999`)), []byte(body(`"expires_at":"2027-01-01T00:00:00.5+02:00","ttl_secs":5`)), []byte(body(`"metadata":{"b":[1,2.50,{"é":null}],"agent_id":"x"}`)),
		[]byte(`{"title":"a\u0000","content":"\ufffe"}`), []byte("[[[["), []byte("{}{}"), []byte("null"),
	}
	patches := [][]byte{
		[]byte("{}"), []byte(`{"expires_at":null,"extra":null}`), []byte(`{"title":"x","tier":"long","tags":[],"metadata":{"agent_id":"no"},"new":{"b":1,"a":2}}`),
		[]byte(`{"expires_at":"0000-01-01T00:00:00Z"}`), []byte(`{"tier":"short","priority":10,"confidence":-0}`),
	}
	return map[string][][]byte{"FuzzDecodeRecord": records, "FuzzDecodeDraft": drafts, "FuzzDecodePatch": patches}
}

// TestSeedCorpora keeps the committed corpora what seeds says. A changed record encoding shows here first: it would be a change of the
// format at rest and on the wire. Rewrite with -write-corpus.
func TestSeedCorpora(t *testing.T) {
	for target, inputs := range seeds() {
		dir := filepath.Join("testdata", "fuzz", target)
		for i, in := range inputs {
			path := filepath.Join(dir, fmt.Sprintf("seed-%02d", i))
			text := "go test fuzz v1\n[]byte(" + strconv.Quote(string(in)) + ")\n"
			if *writeCorpus {
				if err := os.MkdirAll(dir, 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if got, err := os.ReadFile(path); err != nil || string(got) != text {
				t.Errorf("%s differs: %v", path, err)
			}
		}
	}
}
