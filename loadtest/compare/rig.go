package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// rig is where servers run: one Redis for all of them, and one server at a time.
type rig struct {
	ctx         context.Context
	out, dir    string // what is installed, and a folder for configuration and logs; absolute
	serverCores string // for taskset; "": wherever the kernel wants
	loadCores   string
	port, redis int // of the server, and the one above it for its admin listener; of Redis
}

func (r *rig) bin(name string) string { return filepath.Join(r.out, "bin", name) }
func (r *rig) addr() string           { return "127.0.0.1:" + strconv.Itoa(r.port) }
func (r *rig) redisAddr() string      { return "127.0.0.1:" + strconv.Itoa(r.redis) }

// patience is how long a server may take to listen, or to end when it is asked to.
const patience = 30 * time.Second

// process is one that the rig has started.
type process struct {
	cmd    *exec.Cmd
	ended  chan struct{} // closed when it has
	server int           // the process to measure
}

// pin is command on cores only.
func pin(cores string, command []string) []string {
	if cores == "" {
		return command
	}
	return append([]string{"taskset", "-c", cores}, command...)
}

// start runs command on cores with its output in a log file, and waits until something listens at addr.
func (r *rig) start(name, cores, addr string, command []string, child bool, env ...string) (*process, error) {
	log, err := os.Create(filepath.Join(r.dir, name+".log"))
	if err != nil {
		return nil, err
	}
	defer func() { _ = log.Close() }() // the process has its own
	command = pin(cores, command)
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.Env = append(os.Environ(), env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &process{cmd: cmd, ended: make(chan struct{}), server: cmd.Process.Pid}
	go func() { _ = cmd.Wait(); close(p.ended) }() // how it ended does not matter: it was told to, or the log says why
	if err := p.await(r.ctx, addr); err != nil {
		p.stop()
		text, _ := os.ReadFile(log.Name())
		return nil, fmt.Errorf("%s: %w: %.2000s", name, err, text)
	}
	if child {
		if p.server, err = p.onlyChild(); err != nil {
			p.stop()
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	return p, nil
}

// await returns when something listens.
func (p *process) await(ctx context.Context, addr string) error {
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		if c, err := net.Dial("tcp", addr); err == nil {
			c.Close()
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-p.ended:
			return errors.New("it has ended")
		case <-time.After(10 * time.Millisecond):
		}
	}
	return fmt.Errorf("nothing listens at %s after %v", addr, patience)
}

// stop ends it, by force where asking does not help soon: how servers drain is not measured here.
func (p *process) stop() {
	_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGTERM) // it may have ended
	select {
	case <-p.ended:
	case <-time.After(time.Second):
		_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
		<-p.ended
	}
}

// onlyChild waits for the process that p starts, and returns it: who listens may not have started who serves yet.
func (p *process) onlyChild() (int, error) {
	pid := p.cmd.Process.Pid
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
		if err != nil {
			return 0, err
		}
		if children := strings.Fields(string(text)); len(children) == 1 {
			return strconv.Atoi(children[0])
		}
	}
	return 0, fmt.Errorf("process %d has not started one other after %v", pid, patience)
}

// startRedis starts the Redis of all servers, beside the generator, keeping nothing.
func (r *rig) startRedis() (*process, error) {
	return r.start("redis", r.loadCores, r.redisAddr(), []string{"redis-server", "--port", strconv.Itoa(r.redis), "--bind", "127.0.0.1",
		"--save", "", "--appendonly", "no", "--dir", r.dir}, false)
}

// startServer starts a peer on the server's cores.
func (r *rig) startServer(p *Peer, burst bool) (*process, error) {
	server, err := r.start(p.file(), r.serverCores, r.addr(), p.command(r, burst), p.child)
	if err != nil || p.ready == nil {
		return server, err
	}
	method, url := p.ready(r)
	if err := server.awaitReady(r.ctx, method, url); err != nil {
		server.stop()
		return nil, fmt.Errorf("%s: %w", p.Name, err)
	}
	return server, nil
}

// awaitReady asks url until the answer is 2xx.
func (p *process) awaitReady(ctx context.Context, method, url string) error {
	client := &http.Client{Timeout: time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		var body io.Reader
		if method == http.MethodPost {
			body = strings.NewReader("ready?")
		}
		ask, err := http.NewRequestWithContext(ctx, method, url, body)
		if err != nil {
			return err
		}
		if answer, err := client.Do(ask); err == nil {
			answer.Body.Close()
			if answer.StatusCode/100 == 2 {
				return nil
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-p.ended:
			return errors.New("it has ended")
		case <-time.After(10 * time.Millisecond):
		}
	}
	return fmt.Errorf("%s does not say 2xx after %v", url, patience)
}

// file is the peer's name as a part of file names.
func (p *Peer) file() string {
	return strings.Map(func(c rune) rune {
		if c == ' ' || c == '.' {
			return '-'
		}
		return c
	}, strings.ToLower(p.Name))
}

// configure writes the files that servers read.
func (r *rig) configure() error {
	for name, text := range map[string]string{
		"nginx.conf": fmt.Sprintf(`load_module %s;
daemon off;
worker_processes 1;
worker_rlimit_nofile 20000;
pid %s/nginx.pid;
error_log stderr warn;
events { worker_connections 19900; }
http {
	access_log off;
	keepalive_requests 1000000000; # the publisher's connection stays
	client_body_temp_path %s/nginx-body;
	client_body_buffer_size 64k;
	upstream redis {
		nchan_redis_server redis://%s;
		nchan_redis_storage_mode nostore;
	}
	server {
		listen %s backlog=4096;
		location = /sub {
			nchan_subscriber websocket;
			nchan_subscriber_first_message newest;
			nchan_channel_id $arg_channel;
			nchan_websocket_ping_interval %d;
			nchan_redis_pass redis;
		}
		location = /pub {
			nchan_publisher http;
			nchan_channel_id $arg_channel;
			nchan_message_buffer_length 0;
			nchan_redis_pass redis;
		}
	}
}
`, nchanModule(r.out), r.dir, r.dir, r.redisAddr(), r.addr(), pingSeconds),
		"centrifugo.json": fmt.Sprintf(`{
	"http_server": {"address": "127.0.0.1", "port": %d},
	"engine": {"type": "redis", "redis": {"address": ["redis://%s"]}},
	"client": {"allowed_origins": ["*"], "allow_anonymous_connect_without_token": true, "ping_interval": "%ds", "pong_timeout": "8s"},
	"channel": {"without_namespace": {"allow_subscribe_for_client": true, "allow_subscribe_for_anonymous": true}},
	"http_api": {"insecure": true},
	"websocket": {"use_write_buffer_pool": true},
	"usage_stats": {"disabled": true},
	"log": {"level": "warn"}
}
`, r.port, r.redisAddr(), pingSeconds),
	} {
		if err := os.WriteFile(filepath.Join(r.dir, name), []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}
