package clienttest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
)

// maxPassed bounds in bytes what passes a [Proxy] at once, as clients bound it.
const maxPassed = 64 << 20

// Proxy stands before a real node, passes on what clients ask, and changes what the node answers: a node that lies.
type Proxy struct {
	// Address is where clients reach it, in clear.
	Address string

	conn *grpc.ClientConn

	mu     sync.Mutex
	tamper func(*Exchange)
	asked  map[string]int
}

// Exchange is a call that passes a [Proxy], or one item of a stream.
type Exchange struct {
	// Method is the full gRPC method.
	Method string
	// Request is what the client asked. Nil for the items of a stream that the client sends on.
	Request proto.Message
	// Answer is what the node answered, nil where Err is not: it may be changed or replaced.
	Answer proto.Message
	// Err is the status that the node answered with instead: it may be replaced.
	Err error

	proxy *Proxy
	ctx   context.Context
}

// Ask puts another question to the node behind the proxy, of the same method, and returns its answer.
func (e *Exchange) Ask(request proto.Message) (proto.Message, error) {
	answer := e.Answer.ProtoReflect().New().Interface()
	return answer, e.proxy.conn.Invoke(e.ctx, e.Method, request, answer)
}

// StartProxy stands before the node that serves gRPC in clear at an address, until the test ends.
func StartProxy(t testing.TB, target string) *Proxy {
	t.Helper()
	conn, err := grpc.NewClient(target, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxPassed)))
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &Proxy{Address: listener.Addr().String(), conn: conn, asked: map[string]int{}}
	server := grpc.NewServer(grpc.UnknownServiceHandler(p.pass), grpc.MaxRecvMsgSize(maxPassed))
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		_ = server.Serve(listener)
	}()
	t.Cleanup(func() {
		server.Stop()
		<-stopped
		_ = conn.Close()
	})
	return p
}

// Tamper sets what is done to every exchange from now on; nil passes all on as it is. It may be called from many goroutines at a
// time.
func (p *Proxy) Tamper(tamper func(*Exchange)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.tamper = tamper
}

// Asked returns how many calls of a method came in.
func (p *Proxy) Asked(method string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.asked[method]
}

func (p *Proxy) change(e *Exchange) {
	p.mu.Lock()
	tamper := p.tamper
	p.mu.Unlock()
	if tamper != nil {
		tamper(e)
	}
}

// pass handles a call of any method that the wire contract has.
func (p *Proxy) pass(_ any, stream grpc.ServerStream) error {
	name, _ := grpc.MethodFromServerStream(stream)
	method, err := methodOf(name)
	if err != nil {
		return status.Error(codes.Unimplemented, err.Error())
	}
	p.mu.Lock()
	p.asked[name]++
	p.mu.Unlock()
	ctx := stream.Context()
	if headers, ok := metadata.FromIncomingContext(ctx); ok {
		passed := metadata.MD{}
		passed.Append("authorization", headers.Get("authorization")...)
		ctx = metadata.NewOutgoingContext(ctx, passed)
	}
	if method.IsStreamingServer() || method.IsStreamingClient() {
		return p.passStream(ctx, name, method, stream)
	}
	e := &Exchange{Method: name, proxy: p, ctx: ctx}
	if e.Request, err = receive(stream, method.Input()); err != nil {
		return err
	}
	if e.Answer, err = newMessage(method.Output()); err != nil {
		return err
	}
	if e.Err = p.conn.Invoke(ctx, name, e.Request, e.Answer); e.Err != nil {
		e.Answer = nil
	}
	p.change(e)
	if e.Err != nil {
		return e.Err
	}
	return stream.SendMsg(e.Answer)
}

func (p *Proxy) passStream(ctx context.Context, name string, method protoreflect.MethodDescriptor, stream grpc.ServerStream) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	onward, err := p.conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, name)
	if err != nil {
		return err
	}
	var request proto.Message
	if !method.IsStreamingClient() {
		if request, err = receive(stream, method.Input()); err != nil {
			return err
		}
		if err := errors.Join(onward.SendMsg(request), onward.CloseSend()); err != nil {
			return err
		}
	} else {
		// It ends with the call at the latest, because then nothing can be received any more.
		go func() {
			for {
				m, err := receive(stream, method.Input())
				if err != nil {
					_ = onward.CloseSend()
					return
				}
				if onward.SendMsg(m) != nil {
					return
				}
			}
		}()
	}
	for {
		e := &Exchange{Method: name, Request: request, proxy: p, ctx: ctx}
		if e.Answer, err = newMessage(method.Output()); err != nil {
			return err
		}
		if err := onward.RecvMsg(e.Answer); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		p.change(e)
		if e.Err != nil {
			return e.Err
		}
		if err := stream.SendMsg(e.Answer); err != nil {
			return err
		}
	}
}

func receive(stream grpc.ServerStream, d protoreflect.MessageDescriptor) (proto.Message, error) {
	m, err := newMessage(d)
	if err != nil {
		return nil, err
	}
	return m, stream.RecvMsg(m)
}

func newMessage(d protoreflect.MessageDescriptor) (proto.Message, error) {
	kind, err := protoregistry.GlobalTypes.FindMessageByName(d.FullName())
	if err != nil {
		return nil, err
	}
	return kind.New().Interface(), nil
}

// methodOf finds a method by its gRPC name, `/package.Service/Method`.
func methodOf(name string) (protoreflect.MethodDescriptor, error) {
	service, method, ok := strings.Cut(strings.TrimPrefix(name, "/"), "/")
	if !ok {
		return nil, fmt.Errorf("%q is no method", name)
	}
	found, err := protoregistry.GlobalFiles.FindDescriptorByName(protoreflect.FullName(service))
	if err != nil {
		return nil, err
	}
	d, ok := found.(protoreflect.ServiceDescriptor)
	if !ok || d.Methods().ByName(protoreflect.Name(method)) == nil {
		return nil, fmt.Errorf("there is no method %q", name)
	}
	return d.Methods().ByName(protoreflect.Name(method)), nil
}
