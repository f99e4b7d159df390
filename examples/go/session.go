package main

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pb "ssync/v1"
)

const (
	offersMax      = 1000 // in a message of a check
	unansweredMax  = 8    // messages of a check
	chunkBytes     = 64 * 1024
	heartbeatEvery = 15 * time.Second
)

// One session: offers and wants on one call, objects and verdicts on the other, all at once.
type session struct {
	*pusher
	call      pb.ReplicationService_UpdatesClient
	where     *pb.PartitionRef
	wants     chan *object
	room      chan struct{} // one for each update that waits for its result
	drain     chan struct{}
	inlineMax int64

	lock sync.Mutex
	left map[string]*object // those without a verdict
	sent map[uint64]*object
}

// Runs one session. An object with a verdict is taken out of `left`; what stays has to be offered again.
func (p *pusher) session(partition uint32, left map[string]*object) error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	call, err := p.replication.Updates(ctx)
	if err != nil {
		return err
	}
	where := &pb.PartitionRef{Device: p.device, Partition: partition, PolicyIndex: p.policy}
	sender := &pb.Sender{Device: p.device, Job: pb.Job_JOB_CLIENT, Agent: "ssync-example-go/1"}
	open := &pb.UpdatesOpen{Partition: where, Sender: sender}
	// Why a call cannot be written to is for its reader to say.
	_ = call.Send(&pb.UpdatesRequest{Message: &pb.UpdatesRequest_Open{Open: open}})

	s := &session{pusher: p, call: call, where: where, left: left, sent: map[uint64]*object{},
		wants: make(chan *object, len(left)), drain: make(chan struct{})}
	var working sync.WaitGroup
	var unchecked error
	for {
		answer, err := call.Recv()
		if err != nil {
			cancel()
			working.Wait()
			if unchecked != nil && status.Code(unchecked) != codes.Canceled {
				return unchecked // the check's own refusal, for which this call was given up
			} else if err == io.EOF {
				return nil
			}
			return err
		}
		switch message := answer.Message.(type) {
		case *pb.UpdatesResponse_Accepted:
			tell("accepted", map[string]int{"partition": int(partition), "offers": len(left)})
			s.room = make(chan struct{}, message.Accepted.OutstandingUpdatesMax)
			s.inlineMax = int64(message.Accepted.InlineBytesMax)
			working.Add(2)
			go func() { defer working.Done(); s.send(ctx) }()
			go func() {
				defer working.Done()
				if unchecked = s.check(ctx, s.objects()); unchecked != nil {
					cancel()
				}
				close(s.wants)
			}()
		case *pb.UpdatesResponse_Results:
			for _, result := range message.Results.Results {
				s.settle(result)
			}
		case *pb.UpdatesResponse_Draining:
			tell("draining", map[string]interface{}{"partition": partition, "message": message.Draining.Reason})
			close(s.drain)
		case *pb.UpdatesResponse_Summary:
			sum := message.Summary
			tell("summary", map[string]uint64{"partition": uint64(partition), "applied": sum.Applied,
				"confirmed": sum.Confirmed, "superseded": sum.Superseded, "failed": sum.Failed})
		}
	}
}

func (s *session) objects() (all []*object) {
	s.lock.Lock()
	defer s.lock.Unlock()
	for _, one := range s.left {
		all = append(all, one)
	}
	return all
}

// Offers up, wants down: each is handed on as soon as it is known.
func (s *session) check(ctx context.Context, objects []*object) error {
	call, err := s.replication.MissingCheck(ctx)
	if err != nil {
		return err
	}
	window := make(chan struct{}, unansweredMax) // one for each unanswered message
	go func() {
		for start := 0; start < len(objects); start += offersMax {
			end := start + offersMax
			if end > len(objects) {
				end = len(objects)
			}
			question := &pb.MissingCheckRequest{}
			if start == 0 {
				question.Partition = s.where
			}
			for _, one := range objects[start:end] {
				question.Offers = append(question.Offers, one.offer())
			}
			select {
			case window <- struct{}{}:
			case <-ctx.Done():
				return
			}
			_ = call.Send(question)
		}
		_ = call.CloseSend()
	}()
	answered, released := 0, 0
	for {
		answer, err := call.Recv()
		if err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		wanted := map[string]bool{}
		for _, want := range answer.Wants {
			wanted[want.ObjectHash] = want.Data
		}
		for ; answered < int(answer.AnsweredOffers) && answered < len(objects); answered++ {
			if one := objects[answered]; wanted[one.hash] {
				s.wants <- one
			} else {
				s.done(one, func(total *totals) { total.Equal++ })
			}
		}
		for ; released+offersMax <= answered; released += offersMax { // nobody waits for the last message's place
			<-window
		}
	}
}

// Feeds wants into the session until there are no more, or the receiver asks to finish.
func (s *session) send(ctx context.Context) {
	defer s.call.CloseSend()
	for id := uint64(1); ; {
		select {
		case <-s.drain:
			return
		case <-time.After(heartbeatEvery):
			_ = s.call.Send(&pb.UpdatesRequest{Message: &pb.UpdatesRequest_Heartbeat{Heartbeat: &pb.Heartbeat{}}})
		case one, more := <-s.wants:
			if !more {
				return
			}
			select {
			case s.room <- struct{}{}:
			case <-ctx.Done():
				return
			}
			s.lock.Lock()
			s.sent[id] = one
			s.lock.Unlock()
			if err := s.put(id, one); err != nil {
				<-s.room
				s.fail(one, "UNREADABLE", err.Error())
			}
			id++
		}
	}
}

// Sends one object: a small body in one message, a larger one in pieces. An error means that nothing was sent.
func (s *session) put(id uint64, one *object) error {
	file, err := os.Open(one.file)
	if err != nil {
		return err
	}
	defer file.Close()
	kind := &pb.MetadataEntry{Name: []byte("Content-Type"), Value: []byte("application/octet-stream")}
	head := &pb.PutUpdate{Timestamp: one.time(), ContentLength: uint64(one.size), Metadata: []*pb.MetadataEntry{kind}}
	update := &pb.Update{UpdateId: id, Path: []byte(one.path), Operation: &pb.Update_Put{Put: head}}
	request := &pb.UpdatesRequest{Message: &pb.UpdatesRequest_Update{Update: update}}
	if one.size <= s.inlineMax && one.size <= chunkBytes {
		data, err := io.ReadAll(io.LimitReader(file, one.size+1))
		if err == nil && int64(len(data)) != one.size {
			err = fmt.Errorf("%s has not the %d bytes of before", one.file, one.size)
		}
		if err != nil {
			return err
		}
		digest := md5.Sum(data)
		etag := one.etagOr(digest[:])
		head.InlineBody = &pb.InlineBody{Data: data, Etag: &etag}
		_ = s.call.Send(request)
		return nil
	}
	_ = s.call.Send(request)
	digest, length, buffer := md5.New(), int64(0), make([]byte, chunkBytes)
	for err == nil {
		var count int
		if count, err = io.ReadFull(file, buffer); count > 0 {
			digest.Write(buffer[:count])
			length += int64(count)
			chunk := &pb.BodyChunk{Data: buffer[:count]}
			_ = s.call.Send(&pb.UpdatesRequest{Message: &pb.UpdatesRequest_Chunk{Chunk: chunk}})
		}
	}
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		err = nil
	}
	if err == nil && length != one.size {
		err = fmt.Errorf("the file has %d bytes, not the %d of before", length, one.size)
	}
	etag := one.etagOr(digest.Sum(nil))
	end := &pb.BodyEnd{Outcome: &pb.BodyEnd_Complete{Complete: &pb.BodyComplete{Etag: &etag}}}
	if err != nil { // what cannot be read to its end is broken off: it costs this object, not the session
		end.Outcome = &pb.BodyEnd_AbortReason{AbortReason: err.Error()}
	}
	_ = s.call.Send(&pb.UpdatesRequest{Message: &pb.UpdatesRequest_End{End: end}})
	return nil
}

func (o *object) etagOr(digest []byte) string {
	if o.etag != "" {
		return o.etag
	}
	return hex.EncodeToString(digest)
}

// Takes a verdict.
func (s *session) settle(result *pb.UpdateResult) {
	s.lock.Lock()
	one := s.sent[result.UpdateId]
	delete(s.sent, result.UpdateId)
	s.lock.Unlock()
	if one == nil {
		return
	}
	<-s.room
	outcome := strings.TrimPrefix(result.Outcome.String(), "UPDATE_OUTCOME_")
	switch result.Outcome {
	case pb.UpdateOutcome_UPDATE_OUTCOME_APPLIED, pb.UpdateOutcome_UPDATE_OUTCOME_APPLIED_UNFLUSHED,
		pb.UpdateOutcome_UPDATE_OUTCOME_CONFIRMED, pb.UpdateOutcome_UPDATE_OUTCOME_SUPERSEDED:
		s.done(one, func(total *totals) { total.Pushed++ })
		tell("object", map[string]string{"path": one.path, "hash": one.hash, "outcome": outcome})
	default:
		reason, _ := read(status.FromProto(result.Error))
		if reason == "" {
			reason = outcome
		}
		s.fail(one, reason, result.GetError().GetMessage())
	}
}

func (s *session) fail(one *object, reason, message string) {
	s.done(one, func(total *totals) { total.Failed++ })
	tell("object", map[string]string{
		"path": one.path, "hash": one.hash, "outcome": "FAILED", "reason": reason, "message": message})
}

func (s *session) done(one *object, count func(*totals)) {
	s.lock.Lock()
	defer s.lock.Unlock()
	delete(s.left, one.hash)
	count(&s.total)
}
