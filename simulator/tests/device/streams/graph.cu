// Two nodes of a graph without the edge between them.
#include "stream.h"

int main(int argc, char** argv) {
  Program p(argc, argv);
  cudaStreamBeginCapture(p.a, cudaStreamCaptureModeRelaxed);
  cudaEventRecord(p.event, p.a);
  cudaStreamWaitEvent(p.b, p.event, 0);
  count_up<<<kBlocks, kThreads, 0, p.a>>>(p.x, 5, 3);
  p.order(p.event, p.a, p.b);
  copy<<<kBlocks, kThreads, 0, p.b>>>(p.y, p.x);
  cudaEventRecord(p.back, p.b);
  cudaStreamWaitEvent(p.a, p.back, 0);
  cudaGraph_t graph = nullptr;
  cudaGraphExec_t exec = nullptr;
  cudaStreamEndCapture(p.a, &graph);
  cudaGraphInstantiate(&exec, graph, 0);
  cudaGraphLaunch(exec, p.a);
  cudaMemcpyAsync(p.host, p.y, kBytes, cudaMemcpyDeviceToHost, p.a);
  cudaStreamSynchronize(p.a);
  cudaGraphExecDestroy(exec);
  cudaGraphDestroy(graph);
  return p.judge(p.host, 5, 3);
}
