package main

import (
	"bufio"
	"crypto/md5"
	"encoding/binary"
	"encoding/hex"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strings"

	pb "ssync/v1"
)

// A file that stands for an object.
type object struct {
	path      string // /account/container/object
	file      string
	size      int64
	ticks     uint64 // of ten microseconds, from the file's mtime
	hash      string
	partition uint32
	etag      string // if --checksums names one; else that of the bytes
}

func (o *object) time() *pb.SwiftTimestamp { return &pb.SwiftTimestamp{Ticks: o.ticks} }

func (o *object) offer() *pb.ObjectOffer {
	return &pb.ObjectOffer{ObjectHash: o.hash, DataTimestamp: o.time(), Kind: pb.ObjectKind_OBJECT_KIND_DATA}
}

// Which objects are looked for, and what places them.
type search struct {
	partPower                 uint
	prefix, suffix, checksums string
	partition                 int64
}

// Finds FOLDER/account/container/object..., in the order of their partitions.
func (s *search) find(folder string) (found []*object, err error) {
	etags := map[string]string{}
	if s.checksums != "" {
		if etags, err = readChecksums(s.checksums); err != nil {
			return nil, err
		}
	}
	err = filepath.WalkDir(folder, func(file string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		below, err := filepath.Rel(folder, file)
		if err != nil || strings.Count(below, "/") < 2 {
			return err // no object: it has no account or no container
		}
		info, err := os.Stat(file)
		if err != nil {
			return err
		}
		digest := md5.Sum([]byte(s.prefix + "/" + below + s.suffix))
		partition := uint32(uint64(binary.BigEndian.Uint32(digest[:4])) >> (32 - s.partPower))
		if s.partition < 0 || s.partition == int64(partition) {
			ticks := uint64(info.ModTime().UnixMicro() / 10)
			hash := hex.EncodeToString(digest[:])
			found = append(found, &object{"/" + below, file, info.Size(), ticks, hash, partition, etags[below]})
		}
		return nil
	})
	sort.SliceStable(found, func(i, j int) bool { return found[i].partition < found[j].partition })
	return found, err
}

// Reads what md5sum prints: the digest, two characters, the name.
func readChecksums(name string) (map[string]string, error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	found := map[string]string{}
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		if line := lines.Text(); len(line) > 34 {
			found[strings.TrimPrefix(line[34:], "./")] = line[:32]
		}
	}
	return found, lines.Err()
}
