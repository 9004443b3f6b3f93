// Calls a gRPC server of its own in every way, and prints every row that must be told of it.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

const calls = 2000

func row(method string, status any) {
	line, err := json.Marshal([]any{"call", "/test.Every/" + method, status})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(string(line))
}

func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

// answers sends back what comes, or does what the method's name says.
func answers(_ any, stream grpc.ServerStream) error {
	method, _ := grpc.MethodFromServerStream(stream)
	switch strings.TrimPrefix(method, "/test.Every/") {
	case "Fails":
		return status.Error(codes.FailedPrecondition, "100 % no, näh")
	case "Waits":
		// Until the client is gone.
		time.Sleep(300 * time.Millisecond)
		return nil
	}
	for {
		message := new(wrapperspb.StringValue)
		if err := stream.RecvMsg(message); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		if err := stream.SendMsg(message); err != nil {
			return err
		}
	}
}

func text(value string) *wrapperspb.StringValue { return wrapperspb.String(value) }

func call(connection *grpc.ClientConn, ctx context.Context, method, value string, options ...grpc.CallOption) error {
	answer := new(wrapperspb.StringValue)
	err := connection.Invoke(ctx, "/test.Every/"+method, text(value), answer, options...)
	if err == nil && answer.Value != value {
		log.Fatalf("%s: not what was sent", method)
	}
	return err
}

func main() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(err)
	server := grpc.NewServer(grpc.UnknownServiceHandler(answers), grpc.MaxRecvMsgSize(1<<26))
	go server.Serve(listener)
	credentials := grpc.WithTransportCredentials(insecure.NewCredentials())
	connection, err := grpc.NewClient(listener.Addr().String(), credentials)
	must(err)
	ctx := context.Background()

	for _, size := range []int{0, 1, 100, 20_000, 3_000_000} {
		must(call(connection, ctx, "Unary", strings.Repeat("x", size)))
		row("Unary", "OK")
	}
	must(call(connection, ctx, "Unary", strings.Repeat("z", 5_000), grpc.UseCompressor(gzip.Name)))
	row("Unary", "OK")
	large := metadata.Pairs()
	for i := range 30 {
		large.Append(fmt.Sprintf("key-%d", i), strings.Repeat("v", 200))
	}
	must(call(connection, metadata.NewOutgoingContext(ctx, large), "Unary", "metadata"))
	row("Unary", "OK")
	if code := status.Code(call(connection, ctx, "Fails", "?")); code != codes.FailedPrecondition {
		log.Fatal(code)
	}
	row("Fails", "FAILED_PRECONDITION")

	// All at once both ways.
	stream, err := connection.NewStream(ctx, &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, "/test.Every/Both")
	must(err)
	for i := range 200 {
		must(stream.SendMsg(text(fmt.Sprint(i))))
	}
	must(stream.CloseSend())
	for range 200 {
		must(stream.RecvMsg(new(wrapperspb.StringValue)))
	}
	if err := stream.RecvMsg(new(wrapperspb.StringValue)); err != io.EOF {
		log.Fatal(err)
	}
	row("Both", "OK")

	// Given up by the client: nobody said a status.
	brief, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
	if code := status.Code(call(connection, brief, "Waits", "deadline")); code != codes.DeadlineExceeded {
		log.Fatal(code)
	}
	cancel()
	row("Waits", nil)

	var wait sync.WaitGroup
	for worker := range 16 {
		wait.Go(func() {
			for i := worker; i < calls; i += 16 {
				must(call(connection, ctx, fmt.Sprintf("Id%d", i), strings.Repeat("id", i%50)))
			}
		})
	}
	wait.Wait()
	for i := range calls {
		row(fmt.Sprintf("Id%d", i), "OK")
	}
	must(connection.Close())
	server.Stop()
}
