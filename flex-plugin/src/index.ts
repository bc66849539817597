import * as FlexPlugin from '@twilio/flex-plugin';

import VoiceAssistPlugin from './VoiceAssistPlugin';

FlexPlugin.loadPlugin(VoiceAssistPlugin);
