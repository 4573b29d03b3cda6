// Package lifeline ends a plugin whose engine is gone.
package lifeline

import (
	"os"
	"time"
)

// Hold ends this process within a second of its parent's death. The engine ends its plugins when it finishes; but when it
// is killed itself they would stay for ever, and go on with what they were doing.
func Hold() {
	parent := os.Getppid()
	go func() {
		for os.Getppid() == parent {
			time.Sleep(time.Second)
		}
		os.Exit(1)
	}()
}
