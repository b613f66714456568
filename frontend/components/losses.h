/* What the files of losses share. */
#ifndef NNC_FRONTEND_LOSSES_H
#define NNC_FRONTEND_LOSSES_H
#include "frontend/components/components.h"

Value *loss_mean_last(Builder *, Value *);
/* y_true with y_pred's shape: a trailing axis of 1 is added or dropped where the ranks differ, as Keras does. */
Value *loss_like_prediction(Builder *, Value *y_true, Value *y_pred);

/* A loss and the metric of the same name. */
#define LOSS(RECORD, NAME, ALIASES, PARAMETERS, METRIC_PARAMETERS, SUMMARY, FORMULA, FLAGS, BUILD, EXAMPLE,            \
             METRIC_CHECK, ...)                                                                                        \
    const Component component_loss_##RECORD = {.kind = COMPONENT_LOSS,                                                 \
                                               .name = NAME,                                                           \
                                               .aliases = ALIASES,                                                     \
                                               .parameters = PARAMETERS,                                               \
                                               .summary = SUMMARY,                                                     \
                                               .formula = FORMULA,                                                     \
                                               .examples = LINES("loss = " EXAMPLE),                                   \
                                               .checks = LINES(__VA_ARGS__),                                           \
                                               .build.loss = BUILD,                                                    \
                                               .flags = FLAGS};                                                        \
    const Component component_metric_##RECORD = {.kind = COMPONENT_METRIC,                                             \
                                                 .name = NAME,                                                         \
                                                 .aliases = ALIASES,                                                   \
                                                 .parameters = METRIC_PARAMETERS,                                      \
                                                 .summary = SUMMARY,                                                   \
                                                 .formula = FORMULA,                                                   \
                                                 .examples = LINES("metrics = [" EXAMPLE "]"),                         \
                                                 .checks = LINES(METRIC_CHECK),                                        \
                                                 .build.metric = BUILD,                                                \
                                                 .flags = FLAGS}
#endif
