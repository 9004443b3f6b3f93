// An HTTP party: `serve PORT`, or `ask METHOD URL BODY_BYTES ...`; see party.py.
package main

import (
	"bytes"
	"io"
	"log"
	"net/http"
	"os"
	"strconv"
)

func answer(response http.ResponseWriter, request *http.Request) {
	io.Copy(io.Discard, request.Body)
	query := request.URL.Query()
	number := func(name string, otherwise int) int {
		if value, err := strconv.Atoi(query.Get(name)); err == nil {
			return value
		}
		return otherwise
	}
	body := bytes.Repeat([]byte("a"), number("size", 0))
	response.Header().Set("X-Id", request.RequestURI)
	if !query.Has("chunked") {
		response.Header().Set("Content-Length", strconv.Itoa(len(body)))
	}
	response.WriteHeader(number("status", 200))
	if request.Method != "HEAD" {
		for at := 0; at < len(body); at += 1000 {
			response.Write(body[at:min(at+1000, len(body))])
			response.(http.Flusher).Flush()
		}
	}
}

func ask(words []string) {
	for ; len(words) >= 3; words = words[3:] {
		size, _ := strconv.Atoi(words[2])
		request, err := http.NewRequest(words[0], words[1], bytes.NewReader(bytes.Repeat([]byte("b"), size)))
		if err != nil {
			log.Fatal(err)
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			log.Fatal(err)
		}
		io.Copy(io.Discard, response.Body)
		response.Body.Close()
	}
}

func main() {
	if os.Args[1] == "serve" {
		log.Fatal(http.ListenAndServe("127.0.0.1:"+os.Args[2], http.HandlerFunc(answer)))
	}
	ask(os.Args[2:])
}
