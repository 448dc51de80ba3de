"""The timeline over gRPC: `memory.MemoryService`."""
