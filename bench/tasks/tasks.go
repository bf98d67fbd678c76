// The scheduler's workloads in Go: `tasks-go WORKLOAD N [K]`.
package main

import (
	"context"
	"fmt"
	"os"
	"reflect"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

var n, k int

func out(metric string, value float64) {
	fmt.Printf("%s %.6g\n", metric, value)
}

// Park and Miller's sequence, the same in every language.
var state = 42

func random(limit int) int {
	state = state * 16807 % 2147483647
	return state % limit
}

func rss() float64 {
	statm, _ := os.ReadFile("/proc/self/statm")
	pages, _ := strconv.Atoi(strings.Fields(string(statm))[1])
	return float64(pages * os.Getpagesize())
}

func cpu() float64 {
	var usage syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &usage)
	return float64(usage.Utime.Nano() + usage.Stime.Nano())
}

func measure(f func()) {
	cpuStart, start := cpu(), time.Now()
	f()
	out("wall_ns", float64(time.Since(start))/float64(n))
	out("cpu_ns", (cpu()-cpuStart)/float64(n))
}

func channels(count int) []chan int {
	list := make([]chan int, count)
	for i := range list {
		list[i] = make(chan int)
	}
	return list
}

func receives(list []chan int) []reflect.SelectCase {
	cases := make([]reflect.SelectCase, len(list))
	for i, c := range list {
		cases[i] = reflect.SelectCase{
			Dir: reflect.SelectRecv, Chan: reflect.ValueOf(c)}
	}
	return cases
}

func spawn() {
	var wg sync.WaitGroup
	count := 0 // one processor, and no point where a goroutine is preempted
	wg.Add(n)
	for i := 0; i < n; i++ {
		go func() { count++; wg.Done() }()
	}
	wg.Wait()
}

func groups() {
	var wg sync.WaitGroup
	count := 0
	for i := 0; i < n/100; i++ {
		wg.Add(100)
		for j := 0; j < 100; j++ {
			go func() { count++; wg.Done() }()
		}
		wg.Wait()
	}
}

func pingpong() {
	ping, pong := make(chan int), make(chan int)
	go func() {
		for i := 0; i < n; i++ {
			pong <- <-ping
		}
	}()
	for i := 0; i < n; i++ {
		ping <- i
		<-pong
	}
}

func yield() {
	var wg sync.WaitGroup
	wg.Add(k)
	for i := 0; i < k; i++ {
		go func() {
			for j := 0; j < n/k; j++ {
				runtime.Gosched()
			}
			wg.Done()
		}()
	}
	wg.Wait()
}

func channel() {
	c := make(chan int, 128)
	go func() {
		for i := 0; i < n; i++ {
			c <- i
		}
	}()
	for i := 0; i < n; i++ {
		<-c
	}
}

func producers() {
	c := make(chan int, 128)
	for i := 0; i < 64; i++ {
		go func() {
			for j := 0; j < n/64; j++ {
				c <- j
			}
		}()
	}
	for i := 0; i < n; i++ {
		<-c
	}
}

func daisy() {
	first := make(chan int)
	left := first
	for i := 0; i < n; i++ {
		right := make(chan int)
		go func(to, from chan int) { to <- 1 + <-from }(left, right)
		left = right
	}
	go func() { left <- 0 }()
	if <-first != n {
		panic("wrong sum")
	}
}

// The select statement for 2 and 8, reflection for more.
func selects() {
	c := channels(k)
	go func() {
		for i := 0; i < n; i++ {
			c[random(k)] <- i
		}
	}()
	switch k {
	case 2:
		for i := 0; i < n; i++ {
			select {
			case <-c[0]:
			case <-c[1]:
			}
		}
	case 8:
		for i := 0; i < n; i++ {
			select {
			case <-c[0]:
			case <-c[1]:
			case <-c[2]:
			case <-c[3]:
			case <-c[4]:
			case <-c[5]:
			case <-c[6]:
			case <-c[7]:
			}
		}
	default:
		cases := receives(c)
		for i := 0; i < n; i++ {
			reflect.Select(cases)
		}
	}
}

func pool() {
	const size = 128
	c := channels(size)
	cases := receives(c)
	job := func(done chan int, steps int) {
		for i := 0; i < steps; i++ {
			runtime.Gosched()
		}
		done <- 1
	}
	for i := range c {
		go job(c[i], random(16)+1)
	}
	for ended := 1; ended <= n; ended++ {
		i, _, _ := reflect.Select(cases)
		if ended <= n-size {
			go job(c[i], random(16)+1)
		}
	}
}

func timeout() {
	c := make(chan int, 1)
	for i := 0; i < n; i++ {
		ctx, cancel := context.WithTimeout(
			context.Background(), 10*time.Second)
		c <- 1
		select {
		case <-c:
		case <-ctx.Done():
		}
		cancel()
	}
}

func timers() {
	var wg sync.WaitGroup
	start := cpu()
	wg.Add(n)
	for i := 0; i < n; i++ {
		d := time.Duration(random(1000)) * time.Millisecond
		go func() { time.Sleep(d); wg.Done() }()
	}
	wg.Wait()
	out("cpu_ns", (cpu()-start)/float64(n))
}

func sleepers() {
	var wg sync.WaitGroup
	before, cpuStart, start := rss(), cpu(), time.Now()
	asleep := 0
	wg.Add(n)
	for i := 1; i <= n; i++ {
		due := time.Duration(k)*time.Second +
			time.Second*time.Duration(i*7919%n)/time.Duration(n)
		go func() {
			asleep++
			time.Sleep(due - time.Since(start))
			wg.Done()
		}()
	}
	for asleep < n {
		runtime.Gosched()
	}
	out("create_s", time.Since(start).Seconds())
	out("rss", rss())
	out("bytes", (rss()-before)/float64(n))
	wg.Wait()
	out("cpu_ns", (cpu()-cpuStart)/float64(n))
}

func main() {
	n, _ = strconv.Atoi(os.Args[2])
	if len(os.Args) > 3 {
		k, _ = strconv.Atoi(os.Args[3])
	}
	measured := map[string]func(){
		"spawn": spawn, "groups": groups, "pingpong": pingpong,
		"yield": yield, "channel": channel, "producers": producers,
		"daisy": daisy, "select": selects, "pool": pool, "timeout": timeout,
	}
	others := map[string]func(){
		"timers": timers, "sleepers": sleepers,
		"hello": func() { fmt.Println("hello") },
		"idle":  func() { out("rss", rss()) },
	}
	if f := measured[os.Args[1]]; f != nil {
		measure(f)
	} else {
		others[os.Args[1]]()
	}
}
