// Graphs as such: making, reading, cloning, instantiating, updating and launching them. Nodes of
// each kind are in graph_nodes.cpp.
#include "simulator/stream/graph.h"

#include <algorithm>
#include <cstdio>

#include "simulator/api/api.h"
#include "simulator/api/nodes.h"
#include "simulator/stream/capture.h"

using namespace sim;

namespace {

Graph& graph_of(cudaGraph_t handle) { return find_graph(handle); }
GraphExec& exec_of(cudaGraphExec_t handle) {
  return graph_execs().get(handle, cudaErrorInvalidValue);
}

/// The two-call way of reading a list: without an array its length is told; an array that is longer
/// is filled up with nulls.
void give(const std::vector<Node*>& nodes, cudaGraphNode_t* out, size_t* count) {
  check(count, cudaErrorInvalidValue);
  if (!out) {
    *count = nodes.size();
    return;
  }
  for (size_t i = 0; i < *count; i++) out[i] = i < nodes.size() ? handle_of(nodes[i]) : nullptr;
  *count = std::min(*count, nodes.size());
}

void clear_edges(cudaGraphEdgeData* edges, size_t count) {
  if (edges) std::fill_n(edges, count, cudaGraphEdgeData{});
}

void make_exec(cudaGraphExec_t* out, cudaGraph_t graph, unsigned long long flags) {
  constexpr unsigned long long known = cudaGraphInstantiateFlagAutoFreeOnLaunch |
                                       cudaGraphInstantiateFlagUpload |
                                       cudaGraphInstantiateFlagUseNodePriority;
  check(out, cudaErrorInvalidValue);
  check(!(flags & cudaGraphInstantiateFlagDeviceLaunch), cudaErrorNotSupported);
  check((flags & ~known) == 0, cudaErrorInvalidValue);
  GraphExec* exec = graph_execs().add(instantiate(graph_of(graph), flags));
  *out = reinterpret_cast<cudaGraphExec_t>(exec);
}

using Link = std::pair<Node*, Node*>;

std::vector<Link> links_of(const Graph& graph) {
  std::vector<Link> links;
  for (const auto& node : graph.nodes)
    for (Node* before : node->after) links.emplace_back(before, node.get());
  return links;
}

}  // namespace

SIM_API cudaError_t cudaGraphCreate(cudaGraph_t* graph, unsigned flags) {
  return api(__func__, [&](Lock&) {
    check(graph && flags == 0, cudaErrorInvalidValue);
    *graph = reinterpret_cast<cudaGraph_t>(graphs().add(std::make_unique<Graph>()));
  });
}

SIM_API cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
  return api(__func__, [&](Lock&) {
    check(!is_being_captured(graph_of(graph)), cudaErrorIllegalState);
    graphs().take(graph, cudaErrorInvalidValue);
  });
}

SIM_API cudaError_t cudaGraphClone(cudaGraph_t* out, cudaGraph_t graph) {
  return api(__func__, [&](Lock&) {
    check(out, cudaErrorInvalidValue);
    check(!has_memory_nodes(graph_of(graph)), cudaErrorInvalidValue);
    *out = reinterpret_cast<cudaGraph_t>(graphs().add(clone(graph_of(graph))));
  });
}

SIM_API cudaError_t cudaGraphNodeFindInClone(cudaGraphNode_t* out, cudaGraphNode_t original,
                                             cudaGraph_t graph) {
  return api(__func__, [&](Lock&) {
    check(out, cudaErrorInvalidValue);
    const Node& wanted = find_node(original);
    for (const auto& node : graph_of(graph).nodes)
      if (node->cloned_from == &wanted) return void(*out = handle_of(node.get()));
    fail(cudaErrorInvalidValue);
  });
}

SIM_API cudaError_t cudaGraphGetNodes(cudaGraph_t graph, cudaGraphNode_t* out, size_t* count) {
  return api(__func__, [&](Lock&) {
    std::vector<Node*> nodes;
    for (const auto& node : graph_of(graph).nodes) nodes.push_back(node.get());
    give(nodes, out, count);
  });
}

SIM_API cudaError_t cudaGraphGetRootNodes(cudaGraph_t graph, cudaGraphNode_t* out, size_t* count) {
  return api(__func__, [&](Lock&) {
    std::vector<Node*> roots;
    for (const auto& node : graph_of(graph).nodes)
      if (node->after.empty()) roots.push_back(node.get());
    give(roots, out, count);
  });
}

SIM_API cudaError_t cudaGraphGetEdges(cudaGraph_t graph, cudaGraphNode_t* from, cudaGraphNode_t* to,
                                      cudaGraphEdgeData* edges, size_t* count) {
  return api(__func__, [&](Lock&) {
    check(count && !from == !to, cudaErrorInvalidValue);
    std::vector<Node*> begins, ends;
    for (const auto& [begin, end] : links_of(graph_of(graph))) {
      begins.push_back(begin);
      ends.push_back(end);
    }
    size_t same = *count;
    if (from) clear_edges(edges, *count);
    give(begins, from, &same);
    give(ends, to, count);
  });
}

SIM_API cudaError_t cudaGraphNodeGetDependencies(cudaGraphNode_t node, cudaGraphNode_t* out,
                                                 cudaGraphEdgeData* edges, size_t* count) {
  return api(__func__, [&](Lock&) {
    check(count, cudaErrorInvalidValue);
    if (out) clear_edges(edges, *count);
    give(find_node(node).after, out, count);
  });
}

SIM_API cudaError_t cudaGraphNodeGetDependentNodes(cudaGraphNode_t node, cudaGraphNode_t* out,
                                                   cudaGraphEdgeData* edges, size_t* count) {
  return api(__func__, [&](Lock&) {
    check(count, cudaErrorInvalidValue);
    if (out) clear_edges(edges, *count);
    give(dependents(find_node(node)), out, count);
  });
}

SIM_API cudaError_t cudaGraphAddDependencies(cudaGraph_t graph, const cudaGraphNode_t* from,
                                             const cudaGraphNode_t* to, const cudaGraphEdgeData*,
                                             size_t count) {
  return api(__func__, [&](Lock&) {
    Graph& g = graph_of(graph);
    const std::vector<Node*> begins = nodes_of(from, count), ends = nodes_of(to, count);
    for (size_t i = 0; i < count; i++) {
      check(begins[i]->graph == &g && ends[i]->graph == &g && begins[i] != ends[i],
            cudaErrorInvalidValue);
      std::vector<Node*>& after = ends[i]->after;
      check(std::count(after.begin(), after.end(), begins[i]) == 0, cudaErrorInvalidValue);
      after.push_back(begins[i]);
    }
  });
}

SIM_API cudaError_t cudaGraphRemoveDependencies(cudaGraph_t graph, const cudaGraphNode_t* from,
                                                const cudaGraphNode_t* to, const cudaGraphEdgeData*,
                                                size_t count) {
  return api(__func__, [&](Lock&) {
    check(!has_memory_nodes(graph_of(graph)), cudaErrorInvalidValue);
    const std::vector<Node*> begins = nodes_of(from, count), ends = nodes_of(to, count);
    for (size_t i = 0; i < count; i++)
      check(std::erase(ends[i]->after, begins[i]) > 0, cudaErrorInvalidValue);
  });
}

SIM_API cudaError_t cudaGraphDestroyNode(cudaGraphNode_t node) {
  return api(__func__, [&](Lock&) {
    Node& n = find_node(node);
    check(!is_being_captured(*n.graph), cudaErrorIllegalState);
    check(!has_memory_nodes(*n.graph), cudaErrorInvalidValue);
    destroy_node(n);
  });
}

SIM_API cudaError_t cudaGraphNodeGetType(cudaGraphNode_t node, cudaGraphNodeType* type) {
  return api(__func__, [&](Lock&) {
    check(type, cudaErrorInvalidValue);
    *type = node_type(find_node(node).op);
  });
}

SIM_API cudaError_t cudaGraphInstantiate(cudaGraphExec_t* exec, cudaGraph_t graph,
                                         unsigned long long flags) {
  return api(__func__, [&](Lock&) { make_exec(exec, graph, flags); });
}

SIM_API cudaError_t cudaGraphInstantiateWithFlags(cudaGraphExec_t* exec, cudaGraph_t graph,
                                                  unsigned long long flags) {
  return api(__func__, [&](Lock&) { make_exec(exec, graph, flags); });
}

SIM_API cudaError_t cudaGraphInstantiateWithParams(cudaGraphExec_t* exec, cudaGraph_t graph,
                                                   cudaGraphInstantiateParams* params) {
  return api(__func__, [&](Lock&) {
    check(params, cudaErrorInvalidValue);
    params->result_out = cudaGraphInstantiateError;
    params->errNode_out = nullptr;
    make_exec(exec, graph, params->flags);
    params->result_out = cudaGraphInstantiateSuccess;
  });
}

SIM_API cudaError_t cudaGraphExecGetFlags(cudaGraphExec_t exec, unsigned long long* flags) {
  return api(__func__, [&](Lock&) {
    check(flags, cudaErrorInvalidValue);
    *flags = exec_of(exec).flags;
  });
}

SIM_API cudaError_t cudaGraphExecUpdate(cudaGraphExec_t exec, cudaGraph_t graph,
                                        cudaGraphExecUpdateResultInfo* info) {
  return api(__func__, [&](Lock&) {
    check(info, cudaErrorInvalidValue);
    check(update(exec_of(exec), graph_of(graph), *info), cudaErrorGraphExecUpdateFailure);
  });
}

SIM_API cudaError_t cudaGraphNodeSetEnabled(cudaGraphExec_t exec, cudaGraphNode_t node,
                                            unsigned enabled) {
  return api(__func__, [&](Lock&) {
    ExecNode& n = exec_node(exec_of(exec), find_node(node));
    check(node_type(n.op) <= cudaGraphNodeTypeMemset, cudaErrorInvalidValue);
    n.enabled = enabled != 0;
  });
}

SIM_API cudaError_t cudaGraphNodeGetEnabled(cudaGraphExec_t exec, cudaGraphNode_t node,
                                            unsigned* enabled) {
  return api(__func__, [&](Lock&) {
    check(enabled, cudaErrorInvalidValue);
    *enabled = exec_node(exec_of(exec), find_node(node)).enabled;
  });
}

SIM_API cudaError_t cudaGraphLaunch(cudaGraphExec_t exec, cudaStream_t stream) {
  return api(__func__, [&](Lock&) {
    GraphExec& e = exec_of(exec);
    Stream& s = find_stream(stream, current_device());
    if (s.legacy) check_legacy_use(s.device);
    if (s.capture) check_sync(s);  // not in another graph
    launch(e, s);
  });
}

SIM_API cudaError_t cudaGraphUpload(cudaGraphExec_t exec, cudaStream_t stream) {
  return api(__func__, [&](Lock&) {
    exec_of(exec);
    find_stream(stream, current_device());
  });
}

/// Launches that have not run keep what they need.
SIM_API cudaError_t cudaGraphExecDestroy(cudaGraphExec_t exec) {
  return api(__func__, [&](Lock&) {
    check_unsafe();
    graph_execs().take(exec, cudaErrorInvalidValue);
  });
}

SIM_API cudaError_t cudaGraphDebugDotPrint(cudaGraph_t graph, const char* path, unsigned) {
  return api(__func__, [&](Lock&) {
    const Graph& g = graph_of(graph);
    check(path, cudaErrorInvalidValue);
    std::FILE* file = std::fopen(path, "w");
    check(file, cudaErrorOperatingSystem);
    constexpr const char* kinds[] = {"kernel", "memcpy", "memset",    "host",
                                     "graph",  "empty",  "wait",      "record",
                                     "signal", "extern", "mem alloc", "mem free"};
    std::fprintf(file, "digraph {\n");
    for (const auto& n : g.nodes) {
      const auto* kernel = std::get_if<KernelOp>(&n->op.work);
      std::fprintf(file, "  n%p [label=\"%s %s\"];\n", static_cast<void*>(n.get()),
                   kinds[node_type(n->op)], kernel ? kernel->launch.kernel.c_str() : "");
    }
    for (const auto& [from, to] : links_of(g))
      std::fprintf(file, "  n%p -> n%p;\n", static_cast<void*>(from), static_cast<void*>(to));
    std::fprintf(file, "}\n");
    std::fclose(file);
  });
}
