// The variational bound in doubles: the pieces of -log p(x_0) <= L_0 + sum_t L_t + L_T (Ho et al.
// 2020, eq. 5), per element, in nats; bits per dimension are nats / ln 2, averaged over the
// elements of an image.
#pragma once
#include <vector>

#include "models/diffusion/schedule.h"

namespace noisette::diffusion {

double bits(double nats);

/// KL(N(mean_q, exp(log_var_q)) || N(mean_p, exp(log_var_p))).
double gaussian_kl(double mean_q, double log_var_q, double mean_p, double log_var_p);

/// log of the standard normal's mass below x; exact down to where the mass underflows, then
/// asymptotic.
double log_normal_cdf(double x);

/// log of the standard normal's mass in (a, b), a < b; no cancellation in the tails.
double log_normal_interval(double a, double b);

/// -log p(x) of the discrete decoder, Ho eq. 13: x is one of the 256 levels 2 k / 255 - 1, its bin
/// reaches half a level to each side, and the bins at the edges are open. The exact normal CDF, not
/// its tanh approximation.
double decoder_nll(double x, double mean, double log_std);

/// L_T: KL(q(x_{T-1} | x_0) || N(0, 1)) of one element.
double prior_kl(const Schedule& schedule, double x0);

/// L_t for t >= 1: the KL between the true and the predicted reverse step depends on the prediction
/// only through the squared error of the clean image: L_t = offset + weight * (x_0 - predicted
/// x_0)^2. At t = 0 stands the decoder instead: decoder_nll(x_0, predicted x_0, decoder_log_std).
struct VlbTerm {
  double offset = 0;
  double weight = 0;
};
VlbTerm vlb_term(const Schedule& schedule, int64_t t, Variance variance);

/// Standard deviation of the decoder, as a logarithm: half of the log variance at t = 0.
double decoder_log_std(const Schedule& schedule, Variance variance);

}  // namespace noisette::diffusion
