// Graphs: operations with the order among them, and what was made of one to be launched.
#pragma once
#include <cuda_runtime_api.h>

#include <memory>
#include <optional>
#include <unordered_set>
#include <vector>

#include "simulator/stream/handles.h"
#include "simulator/stream/operation.h"
#include "simulator/stream/stream.h"

namespace sim {

struct Node {
  Graph* graph = nullptr;
  Operation op;
  std::vector<Node*> after;
  const Node* cloned_from = nullptr;
  std::vector<void*> params;  // what cudaGraphKernelNodeGetParams pointed to
};

struct Graph {
  std::vector<std::unique_ptr<Node>> nodes;
  std::vector<std::shared_ptr<const void>> keeps;  // its own memory, user objects
  Graph();
  ~Graph();
  Graph(const Graph&) = delete;
  Graph& operator=(const Graph&) = delete;
};

struct ExecNode {
  Operation op;
  std::vector<size_t> after;
  const Node* from = nullptr;
  bool enabled = true;
  std::vector<ExecNode> child;
};

struct GraphExec {
  std::vector<ExecNode> nodes;  // each comes after those it depends on
  unsigned long long flags = 0;
  TaskPtr last;  // of the launch before: the next one comes after it
  std::vector<std::shared_ptr<const void>> keeps;
};

Handles<Graph>& graphs();
Handles<GraphExec>& graph_execs();
/// Child graphs too. cudaErrorInvalidValue for one that does not live.
Graph& find_graph(const void* handle);
/// cudaErrorInvalidValue for one that does not live.
Node& find_node(const void* handle);

/// Throws cudaErrorInvalidValue where a node of `after` is not the graph's or is named twice.
Node* add_node(Graph& graph, Operation op, const std::vector<Node*>& after);
void destroy_node(Node& node);
std::vector<Node*> dependents(const Node& node);
/// Each after those it depends on; empty if there is a cycle.
std::vector<Node*> in_order(const Graph& graph);

/// Such graphs can't be cloned, be a child that was cloned, or lose nodes and edges.
bool has_memory_nodes(const Graph& graph);
std::unique_ptr<Graph> clone(const Graph& graph);
/// cudaErrorInvalidValue for a graph with a cycle.
std::unique_ptr<GraphExec> instantiate(const Graph& graph, unsigned long long flags);
/// Takes the graph's parameters over; what differs otherwise is told in `info`.
bool update(GraphExec& exec, const Graph& graph, cudaGraphExecUpdateResultInfo& info);
/// The same for the child graph of a node.
bool update(ExecNode& node, const Graph& graph, cudaGraphExecUpdateResultInfo& info);
ExecNode& exec_node(GraphExec& exec, const Node& node);
/// cudaErrorInvalidValue where memory that an earlier launch allocated has not been freed.
void launch(GraphExec& exec, Stream& stream);
/// Notes which memory a launch leaves allocated; where that is so already it fails, or forgets the
/// old contents.
void begin_memory(const std::vector<ExecNode>& nodes, bool free_first);

/// Memory of a graph's allocation node: its address stays taken while the graph, or what was made
/// of it, lives. Empty where the card has no room.
std::optional<uint64_t> allocate_for(Graph& graph, uint64_t bytes, int device, const char* call,
                                     uint64_t limit);
bool is_graph_memory(uint64_t address);
/// The same where the program owes no free: the graph frees it itself, or has not run.
bool is_kept_by_graph(uint64_t address);
/// Work outside of the graph frees it; the graph's next launch may allocate it again.
void graph_memory_freed(uint64_t address);
struct GraphMemory {
  uint64_t used = 0, used_high = 0;
};
/// Of a device: what graphs hold.
GraphMemory& graph_memory(int device);

}  // namespace sim
