// Answers every request with six bytes.
package main

import (
	"net/http"
	"os"
	"runtime"
)

func main() {
	runtime.GOMAXPROCS(1)
	hello := []byte("hello\n")
	handler := func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/plain")
		w.Write(hello)
	}
	panic(http.ListenAndServe("127.0.0.1:"+os.Args[1],
		http.HandlerFunc(handler)))
}
