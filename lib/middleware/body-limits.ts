import type { Request, RequestHandler } from 'express';
import type { AnswerOptions } from '../http/answers.js';
import { customerOfRequest } from '../http/customer.js';
import { checkOptions, type Checks } from '../options.js';
import type { CheckedPlan } from '../plans/plan.js';
import type { Plans } from '../plans/plans.js';
import { archiveLimitChecks } from '../uploads/archives/index.js';
import { fileSizeLimitChecks, urlCountLimitChecks } from '../uploads/body-limits.js';
import { archiveHandlingChecks, archiveLimitsOf } from './archive-limits.js';
import type { Context } from './context.js';
import { fileSizeHandlingChecks, fileSizeOf } from './file-size.js';
import { partFor } from './overrides.js';
import { urlCountHandlingChecks, urlCountOf } from './url-count.js';

type BodyLimit = 'fileSize' | 'archiveLimits' | 'urlCount';

/** How one of the middlewares is made: what its limits are for a request, how it does its work, which answers it gives. */
type Make<L, H> = (
  limitsOf: (req: Request) => L | Promise<L>,
  handling: H,
  inherited: AnswerOptions,
) => RequestHandler;

/**
 * The middlewares that limit what a request brings. With numbers of its own such a middleware is the same for all
 * customers; without, each request has those of its customer's plan or override.
 */
export function bodyLimitsOf(
  context: Context,
  plansFor: (middleware: string) => Plans,
): Record<BodyLimit, (own?: object) => RequestHandler> {
  const maker =
    <K extends BodyLimit, L extends object, H extends object>(
      key: K,
      limitChecks: Checks<L>,
      handlingChecks: Checks<H>,
      make: Make<CheckedPlan[K], H>,
    ) =>
    (own: object = {}): RequestHandler => {
      if (Object.keys(own).some((option) => !(option in handlingChecks))) {
        const checked = checkOptions<L & H>(key, own, { ...limitChecks, ...handlingChecks } as Checks<L & H>);
        return make(() => checked as unknown as CheckedPlan[K], checked, context.answers);
      }
      const part = partFor(context, plansFor(`${key}()`), key);
      const ofPlan = async (req: Request): Promise<CheckedPlan[K]> =>
        part(req, await customerOfRequest(req, context.customer));
      return make(ofPlan, checkOptions(key, own, handlingChecks), context.answers);
    };
  return {
    fileSize: maker('fileSize', fileSizeLimitChecks, fileSizeHandlingChecks, fileSizeOf),
    archiveLimits: maker('archiveLimits', archiveLimitChecks, archiveHandlingChecks, archiveLimitsOf),
    urlCount: maker('urlCount', urlCountLimitChecks, urlCountHandlingChecks, urlCountOf),
  };
}
