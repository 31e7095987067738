// Graphs: operations with the order among them, and what was made of one to be launched.
#pragma once
#include <cuda_runtime_api.h>

#include <memory>
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
  std::vector<std::shared_ptr<const void>> memory;  // of its allocation nodes
  ~Graph();
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
  std::vector<std::shared_ptr<const void>> memory;  // of its allocation nodes
};

Handles<Graph>& graphs();
Handles<GraphExec>& graph_execs();
/// cudaErrorInvalidValue for one that does not live.
Node& find_node(const void* handle);

/// Throws cudaErrorInvalidValue where a node of `after` is not the graph's or is named twice.
Node* add_node(Graph& graph, Operation op, const std::vector<Node*>& after);
void destroy_node(Node& node);
std::vector<Node*> dependents(const Node& node);
/// Each after those it depends on; empty if there is a cycle.
std::vector<Node*> in_order(const Graph& graph);

std::unique_ptr<Graph> clone(const Graph& graph);
/// cudaErrorInvalidValue for a graph with a cycle.
std::unique_ptr<GraphExec> instantiate(const Graph& graph, unsigned long long flags);
/// Takes the graph's parameters over; what differs otherwise is told in `info`.
bool update(GraphExec& exec, const Graph& graph, cudaGraphExecUpdateResultInfo& info);
ExecNode& exec_node(GraphExec& exec, const Node& node);
void launch(GraphExec& exec, Stream& stream);

}  // namespace sim
