// Pushes a folder of objects to an ssync receiver; examples/README.md says how it is called and what it prints.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/status"

	pb "ssync/v1"
)

// How long to wait where a refusal that is worth another try names no time.
const retryDefault = time.Second

type pusher struct {
	replication pb.ReplicationServiceClient
	device      string
	policy      uint32
	total       totals
}

type totals struct {
	Objects int `json:"objects"`
	Pushed  int `json:"pushed"`
	Equal   int `json:"equal"`
	Failed  int `json:"failed"`
	Refused int `json:"refused"`
}

// A partition that waits for its turn, with the objects that have no verdict yet.
type turn struct {
	partition uint32
	left      map[string]*object
	attempt   int
	notBefore time.Time
}

func main() {
	flags := flag.NewFlagSet("push", flag.ExitOnError)
	var search search
	flags.UintVar(&search.partPower, "part-power", 0, "of the policy's ring (required)")
	flags.StringVar(&search.prefix, "hash-prefix", "", "swift_hash_path_prefix of swift.conf")
	flags.StringVar(&search.suffix, "hash-suffix", "", "swift_hash_path_suffix of swift.conf")
	flags.Int64Var(&search.partition, "partition", -1, "only the objects of this one")
	flags.StringVar(&search.checksums, "checksums", "", "a file as md5sum prints it, with names below FOLDER")
	policy := flags.Uint("policy", 0, "its index in swift.conf")
	tries := flags.Int("tries", 5, "how often a refused partition is tried")
	flags.Usage = func() {
		fmt.Fprintln(flags.Output(), "usage: push [options] ADDRESS DEVICE FOLDER")
		flags.PrintDefaults()
	}
	words := parse(flags, os.Args[1:])
	if len(words) != 3 || search.partPower == 0 || search.partPower > 32 {
		flags.Usage()
		os.Exit(2)
	}
	alive := keepalive.ClientParameters{Time: 30 * time.Second, Timeout: 20 * time.Second}
	channel, err := grpc.Dial(words[0], grpc.WithInsecure(), grpc.WithKeepaliveParams(alive))
	exitOn(err)
	objects, err := search.find(words[2])
	exitOn(err)
	push := pusher{replication: pb.NewReplicationServiceClient(channel), device: words[1], policy: uint32(*policy)}
	push.all(objects, *tries)
	if push.total.Failed+push.total.Refused > 0 {
		os.Exit(1)
	}
}

// Options may stand before, between and behind the other words.
func parse(flags *flag.FlagSet, arguments []string) (words []string) {
	for {
		flags.Parse(arguments)
		if flags.NArg() == 0 {
			return words
		}
		words, arguments = append(words, flags.Arg(0)), flags.Args()[1:]
	}
}

// Partition by partition; one that is refused is tried again after the others.
func (p *pusher) all(objects []*object, tries int) {
	var turns []turn
	for _, one := range objects {
		if last := len(turns) - 1; last < 0 || turns[last].partition != one.partition {
			turns = append(turns, turn{one.partition, map[string]*object{}, 1, time.Time{}})
		}
		turns[len(turns)-1].left[one.hash] = one
	}
	p.total.Objects = len(objects)
	for len(turns) > 0 {
		next := turns[0]
		turns = turns[1:]
		time.Sleep(time.Until(next.notBefore))
		before := len(next.left)
		err := p.session(next.partition, next.left)
		switch {
		case err == nil && len(next.left) == 0:
		case err == nil: // the receiver ended the session in order: open the next
			if len(next.left) == before {
				next.attempt++
			}
			turns = append([]turn{next}, turns...)
		default:
			delay, worthIt := p.refused(next, err, tries)
			if !worthIt {
				p.total.Refused += len(next.left)
				break
			}
			next.attempt, next.notBefore = next.attempt+1, time.Now().Add(delay)
			turns = append(turns, next)
		}
	}
	tell("done", p.total)
}

// Tells of a refusal; says when to come back, if that is of any use.
func (p *pusher) refused(at turn, err error, tries int) (time.Duration, bool) {
	said := status.Convert(err)
	reason, delay := read(said)
	if delay == 0 && (said.Code() == codes.Unavailable || said.Code() == codes.DeadlineExceeded) {
		delay = retryDefault
	}
	again := delay > 0 && at.attempt < tries
	tell("refused", struct {
		Partition    uint32  `json:"partition"`
		Code         string  `json:"code"`
		Reason       string  `json:"reason"`
		Message      string  `json:"message"`
		RetrySeconds float64 `json:"retry_seconds,omitempty"`
		Attempt      int     `json:"attempt"`
		Again        bool    `json:"again"`
	}{at.partition, codeName(said.Code()), reason, said.Message(), delay.Seconds(), at.attempt, again})
	return delay, again
}

// What a status says to programs: the reason, and when to come back.
func read(said *status.Status) (reason string, delay time.Duration) {
	for _, detail := range said.Details() {
		switch detail := detail.(type) {
		case *errdetails.ErrorInfo:
			reason = detail.Reason
		case *errdetails.RetryInfo:
			delay = detail.RetryDelay.AsDuration()
		}
	}
	return reason, delay
}

// As the protocol writes it: FAILED_PRECONDITION, where Go says FailedPrecondition.
func codeName(code codes.Code) string {
	var name []rune
	for i, letter := range code.String() {
		if i > 0 && 'A' <= letter && letter <= 'Z' {
			name = append(name, '_')
		}
		if 'a' <= letter && letter <= 'z' {
			letter += 'A' - 'a'
		}
		name = append(name, letter)
	}
	return string(name)
}

// Prints one line: the event and what is told of it.
func tell(event string, what interface{}) {
	line, _ := json.Marshal(what)
	fmt.Printf("{\"event\":%q,%s\n", event, line[1:])
}

func exitOn(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "push:", err)
		os.Exit(2)
	}
}
